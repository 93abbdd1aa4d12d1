"""Questions asked of an extractor and labelled documents, each answered as a table; draws and prints nothing."""
