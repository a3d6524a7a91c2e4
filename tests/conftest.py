"""Settings of every test: property tests draw the same examples in each run.

A run that fails must fail again.  `KVSH_EXPLORE=1 make test` draws new examples each time.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile("explore" if os.environ.get("KVSH_EXPLORE") else "repeatable")
