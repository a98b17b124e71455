//! Bad records of every kind, on `listings.raw` and on `preferences`: each is a dead letter with its code and its bytes.
