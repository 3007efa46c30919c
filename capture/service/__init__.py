"""The system service: whole control groups captured, and users' programs that ask for it.

Two processes. The keeper has the capabilities: it attaches programs, moves processes, and removes everything at the
end. Its child serves sessions and users, and has the shared maps alone.
"""
