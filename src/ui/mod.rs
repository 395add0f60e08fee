//! Drawing: views, widgets, themes.
