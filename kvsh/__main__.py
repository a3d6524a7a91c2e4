"""`python -m kvsh`."""

import sys

from kvsh.cli import main

if __name__ == "__main__":
    sys.exit(main())
