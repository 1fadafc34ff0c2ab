"""The life of a request: prepare, admit, queue, dispatch, judge, record."""
