"""Delay and rate for the lab's links: by netem where the kernel has it, else by a process of the lab's own."""
