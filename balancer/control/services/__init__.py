"""Services: what the CDN serves, in revisions that are validated, activated, published to edges, and rolled out."""
