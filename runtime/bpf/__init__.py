"""bpf(2) and the headers to compile with, for every program that loads eBPF."""
