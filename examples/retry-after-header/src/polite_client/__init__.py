"""A small client-side policy for retrying requests that a server asked to postpone."""
