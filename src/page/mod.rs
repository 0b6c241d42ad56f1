//! The page that stands in for the application while that is down.
