"""Jobs over more documents than memory holds: read row by row, extracted in chunks, written in parts that survive a kill."""
