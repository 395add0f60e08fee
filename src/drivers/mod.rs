//! What speaks to peers: frames and text into observations, commands into frames and text.
