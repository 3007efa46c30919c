"""What the daemons of one node share: the service address, the firewall mark, and the files of the state folder."""
