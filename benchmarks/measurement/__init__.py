"""What a result is: ratios of pairs, and the machine that they were measured on."""
