//! Programs that people run: each is started here, on free ports and in a folder of its own.
