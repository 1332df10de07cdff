"""The account: what a record, a batch and a reading cost, and how soon an answer is counted."""
