"""Run the path manager: `python -m smkex.server.handshake.path_manager`, as `start_path_manager` does."""

import sys

from smkex.server.handshake.path_manager.process import main

sys.exit(main(sys.argv[1:]))
