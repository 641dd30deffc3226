"""What does every bucket have to promise, whatever it is made of?

A subclass provides the fixture `store`: an empty store, fresh for each test. Nothing here is skipped: what
only some stores promise is a class of its own, which a store that promises it inherits as well.
"""

from __future__ import annotations

from store.contract_large import LargeObjectContract, RangeContract
from store.contract_listings import ListingContract
from store.contract_objects import FreshETagContract, ObjectContract
from store.contract_races import RaceContract, append_token

__all__ = ["FreshETagContract", "StoreContract", "append_token"]


class StoreContract(ObjectContract, ListingContract, RangeContract, LargeObjectContract, RaceContract):
    """The promises of every store."""
