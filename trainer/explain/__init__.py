"""The page of `webtext-train explain`: `activations` records a forward pass, `page` renders it."""
