"""The relay: its settings, its peers, its firewall rules, and the daemon that keeps them in force."""
