"""An established session: records, paths, acknowledgements, control messages."""
