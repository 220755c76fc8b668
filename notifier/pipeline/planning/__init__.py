"""Who is told what, when and how: decisions become notifications, at once, held back or in groups."""
