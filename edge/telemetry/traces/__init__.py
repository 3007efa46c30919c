"""Export of spans by OpenTelemetry: `spans.py` alone imports its packages, once an export is asked for."""
