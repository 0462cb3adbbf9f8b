"""`python -m joulebook` is the `joulebook` command."""

import sys

from joulebook.commands.main import main

if __name__ == "__main__":
    sys.exit(main())
