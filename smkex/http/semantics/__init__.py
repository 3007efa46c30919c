"""HTTP semantics without I/O (RFC 9110): integers, dates, authorities, targets, entity-tags, conditions and ranges."""
