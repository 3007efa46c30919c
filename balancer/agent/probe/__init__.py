"""Key exchanges from a namespace of their own, as a client of this edge would do them."""
