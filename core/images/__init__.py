"""Images: their records and references, the documents they are made of, and archives of them."""
