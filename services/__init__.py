"""What the CDN serves: the documents of services, checked whole, and which service a name belongs to. No I/O."""
