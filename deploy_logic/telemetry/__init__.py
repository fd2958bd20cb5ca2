"""What the app says about itself: lines, spans and figures. Nothing here knows who listens."""
