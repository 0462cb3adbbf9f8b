"""`python -m joulebook_collectors.agent`."""

import sys

from joulebook_collectors.agent.daemon import main

sys.exit(main())
