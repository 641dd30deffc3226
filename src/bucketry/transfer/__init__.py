"""How do many bytes move between a bucket and a disk, fast, and verified before they count?"""
