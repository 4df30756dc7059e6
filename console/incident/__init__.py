"""What the page of one incident shows. Pure, but for the routes in `console.pages`."""
