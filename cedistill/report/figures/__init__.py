"""Figures of a report, drawn once: saved as SVG and PNG, and put into the page with colours that follow its scheme."""
