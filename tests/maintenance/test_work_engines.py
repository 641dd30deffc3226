"""Does a real Dask cluster, of which a worker is killed midway, do all shards of a plan?

It is not in the usual set-up: `pip install -e '.[dask]' pytest hypothesis` in an environment of its own.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bucketry.client import open_registry
from bucketry.maintenance.fsck.registry import check_registry
from bucketry.maintenance.work.collecting import collect_check, load_status
from bucketry.maintenance.work.planning import plan_check
from bucketry.maintenance.work.schedulers import Dask, run_all
from bucketry.registry.core.opening import open_session
from registry.opened import make_registry

if TYPE_CHECKING:
    from bucketry.registry.core.session import Session

pytestmark = pytest.mark.filterwarnings("ignore")  # of the engine
SHARDS = 24
LONGEST_SECONDS = 120


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """Return a registry with 300 MB in a folder, which the engine's processes open, too."""
    monkeypatch.setenv("BUCKETRY_CONFIG", os.devnull)
    monkeypatch.setenv("BUCKETRY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BUCKETRY_IDENTITY", "ada@example.org")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2] / "src"))
    make_registry(tmp_path / "registry")
    (tmp_path / "out").mkdir()
    for number in range(SHARDS):
        (tmp_path / "out" / f"{number}.bin").write_bytes(bytes([number]) * 12_500_000)
    with open_registry(str(tmp_path / "registry")) as registry:
        registry.publish("acme/chat", tmp_path / "out")
    return open_session(str(tmp_path / "registry"))


@pytest.mark.skipif(find_spec("distributed") is None, reason="needs distributed (Dask)")
def test_dask_gives_the_shards_of_a_worker_that_dies_to_another(session: Session) -> None:
    distributed = import_module("distributed")
    plan = plan_check(session, SHARDS)
    killed = threading.Event()
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        pids = list(client.run(os.getpid).values())

        def kill_midway() -> None:
            for _ in range(LONGEST_SECONDS * 100):
                if len(load_status(session, plan.work).missing) < SHARDS:
                    os.kill(pids[0], signal.SIGKILL)
                    killed.set()
                    return
                time.sleep(0.01)

        thread = threading.Thread(target=kill_midway)
        thread.start()
        run_all(session, plan, Dask(cluster.scheduler_address))
        thread.join()
    assert killed.is_set()
    assert load_status(session, plan.work).missing == ()
    assert collect_check(session, plan.work) == check_registry(session, deep=True)
