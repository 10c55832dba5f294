"""``python -m kindling.doctor``."""

from __future__ import annotations

import sys

from kindling.doctor import main

sys.exit(main())
