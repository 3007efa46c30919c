"""Run the path manager: `python -m edge.handshake.path_manager`, as `start_path_manager` does."""

import sys

from edge.handshake.path_manager.process import main

sys.exit(main(sys.argv[1:]))
