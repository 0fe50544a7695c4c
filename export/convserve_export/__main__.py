"""``python -m convserve_export`` is the command ``convserve-export``."""

import sys

from convserve_export.cli import main

sys.exit(main())
