"""How the course draws: the figure style, pictures with a description, and live training curves.

Importing this module sets matplotlib's defaults for every figure of a chapter, so that all of them
look made by one hand. Sizes are in inches, at 100 CSS pixels to the inch.
"""

import base64
import io

import matplotlib
import matplotlib.pyplot as plt
from cycler import cycler
from IPython import get_ipython
from IPython.display import display

# Okabe and Ito's colours, which colour-blind readers tell apart, darkened where needed until the
# contrast with white is at least 4.5 to 1 (tests/test_live.py computes it).
COLORS = {
    "blue": "#0072B2",
    "orange": "#BF5300",
    "green": "#007D5B",
    "pink": "#AF4E86",
    "brown": "#8A6100",
    "black": "#222222",
    "grey": "#6E6E6E",
}
CSS_DPI = 100  # CSS pixels to the inch
SHARPNESS = 2  # picture pixels to the CSS pixel: sharp on high-density screens, small in the file

matplotlib.rcParams.update(
    {
        "figure.dpi": CSS_DPI,
        "figure.facecolor": "white",  # a white card in JupyterLab's dark theme, too
        "figure.constrained_layout.use": True,
        "font.size": 11,  # points; 15 CSS pixels
        "axes.titlesize": 12,
        "axes.prop_cycle": cycler(
            color=[COLORS[name] for name in ("blue", "orange", "green", "pink", "brown")],
            linestyle=["-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1))],
        ),
        "axes.edgecolor": COLORS["grey"],
        "axes.labelcolor": COLORS["black"],
        "axes.spines.top": False,
        "axes.spines.right": False,
        "text.color": COLORS["black"],
        "xtick.color": COLORS["black"],
        "ytick.color": COLORS["black"],
        "lines.linewidth": 2,
        "image.cmap": "gray",
        "image.interpolation": "nearest",  # pixels are seen as pixels
    }
)


# ---------------------------------------------------------------------------- pictures


def show(fig, alt):
    """Show a matplotlib figure as a PNG described by `alt`, a sentence saying what is seen in it.

    The description is what a reader gets who does not see the picture. The figure is closed.
    """
    data, metadata = picture(fig, alt)
    plt.close(fig)
    _display({**data, "text/plain": alt}, metadata)


def show_widget(widget, still_fig, alt):
    """Show an ipywidget; where no kernel runs, the figure `still_fig` stands in its place.

    `alt` says what is seen in the still picture. The figure is closed.
    """
    data, metadata = picture(still_fig, alt)
    plt.close(still_fig)
    _display({**_view(widget), **data, "text/plain": alt}, metadata)


def picture(fig, alt):
    """The PNG of a figure as MIME data and metadata, for a raw display.

    The metadata give its size in CSS pixels and `alt`, which nbconvert writes into its pages.
    (JupyterLab 4.6 writes no `alt`; there the description is the output's text.)
    """
    file = io.BytesIO()
    fig.savefig(file, format="png", dpi=SHARPNESS * CSS_DPI)
    width, height = (round(inches * CSS_DPI) for inches in fig.get_size_inches())
    png = base64.b64encode(file.getvalue()).decode()
    return {"image/png": png}, {"image/png": {"width": width, "height": height, "alt": alt}}


def _view(widget):
    view = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
    return {"application/vnd.jupyter.widget-view+json": view}


def _display(data, metadata, **kwargs):
    """Display raw MIME data in a notebook; elsewhere there is nobody to see it."""
    if get_ipython() is not None:
        return display(data, metadata=metadata, raw=True, **kwargs)
    return None
