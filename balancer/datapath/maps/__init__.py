"""Maps of the loaded programs: layout, pins, generations of the table, counters."""
