"""The Usage tab: the limits, the account and the data of the reader."""
