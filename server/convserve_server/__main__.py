"""python -m convserve_server"""

import sys

from convserve_server.cli import main

sys.exit(main())
