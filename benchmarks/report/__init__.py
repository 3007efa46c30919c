"""Compare saved results, and write docs/performance.md from them."""
