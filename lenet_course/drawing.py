"""How the course draws: colours, matplotlib's style, pictures with a description, `Picture`.

A picture is shown as HTML with its description, which reaches a reader who does not see it in
JupyterLab and in pages made by nbconvert. (The stored chapters hold PNGs, which GitHub shows;
scripts/save_notebooks.py puts them there.) Sizes are in CSS pixels, in figures in inches, at 100
CSS pixels to the inch.
"""

import base64
import html
import io
import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import resvg_py
from cycler import cycler
from IPython import get_ipython
from IPython.display import DisplayHandle, display
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from PIL import Image

# Okabe and Ito's colours, which colour-blind readers tell apart, darkened where needed until the
# contrast with white is at least 4.5 to 1 (tests/test_drawing.py computes it).
COLORS = {
    "blue": "#0072B2",
    "orange": "#BF5300",
    "green": "#007D5B",
    "pink": "#AF4E86",
    "brown": "#8A6100",
    "black": "#222222",
    "grey": "#6E6E6E",
}
# For values below and above 0, as weights are; of an odd number of colours the middle one is white.
ENDS = [COLORS["blue"], "white", COLORS["orange"]]
SIGNED = LinearSegmentedColormap.from_list("signed", ENDS, N=255)
CSS_DPI = 100  # CSS pixels to the inch
SHARPNESS = 2  # picture pixels to the CSS pixel: sharp on high-density screens, small in the file
# Fonts that have Chinese, Japanese and Korean letters, one of them on most systems.
CJK = [
    "Noto Sans CJK SC",
    "Microsoft YaHei",
    "PingFang SC",
    "Hiragino Sans GB",
    "WenQuanYi Zen Hei",
]
FONTS = Path(matplotlib.get_data_path(), "fonts", "ttf")


def use_style() -> None:
    """Set matplotlib's defaults, so that all figures of a chapter look made by one hand."""
    matplotlib.rcParams.update(
        {
            "figure.dpi": CSS_DPI,
            "figure.facecolor": "white",  # a white card in JupyterLab's dark theme, too
            "figure.constrained_layout.use": True,
            "font.family": ["DejaVu Sans", *_installed(CJK)],
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
    if in_notebook():
        _show_pyplot_figures_after_cells_only()


def _installed(names: list[str]) -> list[str]:
    known = set(matplotlib.font_manager.get_font_names())
    return [name for name in names if name in known]


def _show_pyplot_figures_after_cells_only() -> None:
    """Keep matplotlib from showing a figure that a running cell has not finished.

    It shows pyplot's figures whenever the kernel has executed something, and a click on a widget
    counts, although a thread of its own handles it while the cell goes on drawing.
    """
    from matplotlib_inline.backend_inline import flush_figures

    events = get_ipython().events
    plt.uninstall_repl_displayhook()
    if flush_figures in events.callbacks["post_execute"]:
        events.unregister("post_execute", flush_figures)
        events.register("post_run_cell", lambda result: flush_figures())


def in_notebook() -> bool:
    """Whether there is somebody to see a display."""
    return getattr(get_ipython(), "kernel", None) is not None


# ---------------------------------------------------------------------------- showing


def show(picture: "Figure | Picture", alt: str) -> None:
    """Show a matplotlib figure or a Picture, described by `alt`, a sentence on what is seen in it.

    A figure is closed.
    """
    show_data(still(picture, alt))


def show_widget(widget: widgets.Widget, picture: "Figure | Picture", alt: str) -> None:
    """Show a widget; where no kernel runs, `picture` stands in its place, described by `alt`."""
    show_data(view(widget) | still(picture, alt))


def still(picture: "Figure | Picture", alt: str) -> dict[str, str]:
    """MIME data of a picture: HTML with its PNG and its description, and the description alone."""
    width, png = png_of(picture)
    data, words = base64.b64encode(png).decode(), html.escape(printable(alt))
    return {
        "text/html": f'<img class="lenet-picture" width="{width}" alt="{words}" '
        f'style="max-width: 100%; height: auto; background: white" '
        f'src="data:image/png;base64,{data}">',
        "text/plain": alt,
    }


def view(widget: widgets.Widget) -> dict[str, dict]:
    """MIME data of a widget."""
    model = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
    return {"application/vnd.jupyter.widget-view+json": model}


def show_data(data: dict[str, Any], **kwargs: Any) -> DisplayHandle | None:
    """Display MIME data in a notebook; elsewhere there is nobody to see it."""
    return display(data, raw=True, **kwargs) if in_notebook() else None


def png_of(picture: "Figure | Picture") -> tuple[int, bytes]:
    """The width in CSS pixels and the PNG of a figure, which is closed, or of a Picture."""
    if isinstance(picture, Picture):
        return picture.outer_width, small_png(picture.png())
    file = io.BytesIO()
    with warnings.catch_warnings():
        # Letters that no font here has are drawn as boxes; that is seen, and no reason to warn.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        picture.savefig(file, format="png", dpi=SHARPNESS * CSS_DPI)
    plt.close(picture)
    return round(picture.get_figwidth() * CSS_DPI), small_png(file.getvalue())


def small_png(png: bytes) -> bytes:
    """The same picture with a palette of 128 colours: as sharp, and a third of the bytes."""
    image, file = Image.open(io.BytesIO(png)).convert("RGB"), io.BytesIO()
    image.quantize(128, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return file.getvalue()


def store_picture(output: dict) -> None:
    """In a notebook's output, put in the place of a picture as HTML its PNG, which GitHub shows."""
    data = output.get("data", {})
    pattern = r'<img class="lenet-picture"[^>]*src="data:image/png;base64,([^"]+)"'
    found = re.search(pattern, data.get("text/html", ""))
    if found:
        del data["text/html"]
        data["image/png"] = found[1]
        width = int.from_bytes(base64.b64decode(found[1])[16:20], "big") / SHARPNESS
        output["metadata"] = {"image/png": {"width": round(width)}}


def printable(text: Any) -> str:
    """`text` in one line, without characters that no picture can hold."""
    return "".join(c for c in " ".join(str(text).split()) if c.isprintable())


def short(text: Any, longest: int = 40) -> str:
    """`text` in one line, of bounded length."""
    line = printable(text)
    return line if len(line) <= longest else line[: longest - 1] + "…"


def plain(text: Any, longest: int = 40) -> str:
    """`short` for a figure: matplotlib reads nothing in it as mathematics."""
    return short(text, longest).replace("$", r"\$")


# ---------------------------------------------------------------------------- a picture

MARGIN = 4  # around a picture, for lines that run along its edge
FAMILY = f"DejaVu Sans, Verdana, {', '.join(CJK)}, sans-serif"
Places = Iterable[Sequence[float]]  # (x, y), ...


class Picture:
    """A drawing in CSS pixels, y downwards; what is drawn later lies on top.

    It is written once, as SVG: a browser shows that, and a still is made of it.
    """

    def __init__(self, height: float, width: float = 960) -> None:
        self.width, self.height = width, height
        self.outer_width, self.outer_height = width + 2 * MARGIN, height + 2 * MARGIN
        self._svg, self._spots = [], []

    def box(
        self, x: float, y: float, width: float, height: float,
        fill: str = "none", line: str = "none", thick: float = 1,
    ) -> None:  # fmt: skip
        self._svg.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" '
            f'height="{max(height, 0):.1f}" fill="{fill}" stroke="{line}" '
            f'stroke-width="{thick:g}"/>'
        )

    def polygon(
        self, corners: Places, fill: str = "none", line: str = "none", thick: float = 1
    ) -> None:
        self._svg.append(
            f'<polygon points="{_places(corners)}" fill="{fill}" stroke="{line}" '
            f'stroke-width="{thick:g}"/>'
        )

    def line(
        self, points: Places, color: str = COLORS["black"], thick: float = 2, dashed: bool = False
    ) -> None:
        dashes = ' stroke-dasharray="6 4"' if dashed else ""
        self._svg.append(
            f'<polyline points="{_places(points)}" fill="none" stroke="{color}" '
            f'stroke-width="{thick:g}"{dashes}/>'
        )

    def text(
        self, x: float, y: float, words: str, size: float = 16, color: str = COLORS["black"],
        anchor: str = "start", bold: bool = False, rotation: float = 0,
    ) -> None:  # fmt: skip
        """`y` is the middle of the line; `anchor` is start, middle or end; `rotation` in degrees,
        anticlockwise."""
        weight = ' font-weight="bold"' if bold else ""
        turned = f' transform="rotate({-rotation:g} {x:.1f} {y:.1f})"' if rotation else ""
        # A third of the size below the middle: not every program that draws SVG knows `dy`.
        self._svg.append(
            f'<text x="{x:.1f}" y="{y + 0.35 * size:.1f}" font-size="{size:g}" fill="{color}" '
            f'text-anchor="{anchor}"{weight}{turned}>{html.escape(printable(words))}</text>'
        )

    def pixels(self, x: float, y: float, width: float, height: float, rgb: np.ndarray) -> None:
        """An image (H, W, 3), uint8, whose pixels stay square and sharp."""
        file = io.BytesIO()
        Image.fromarray(rgb).save(file, "PNG", compress_level=1)
        png = base64.b64encode(file.getvalue()).decode()
        self._svg.append(
            f'<image x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
            'preserveAspectRatio="none" image-rendering="optimizeSpeed" '
            f'href="data:image/png;base64,{png}"/>'
        )

    def sheet(self, x: float, y: float, scale: float, rgb: np.ndarray, tiles: tuple) -> None:
        """An image of tiles, made by explorers.card.tiled, with a frame around each.

        One image where a hundred small ones would take ten times as long to encode. `scale` is in
        pixels to the value, `tiles` are rows, columns, and the height and width of a tile.
        """
        self.pixels(x, y, rgb.shape[1] * scale, rgb.shape[0] * scale, rgb)
        rows, columns, height, width = tiles
        for i in range(rows):
            for j in range(columns):
                left, top = x + j * (width + 1) * scale, y + i * (height + 1) * scale
                self.box(left, top, width * scale, height * scale, line="#9a9a9a", thick=0.5)

    def spot(self, x: float, y: float, width: float, height: float, key: Any) -> None:
        """A click in this box means `key`."""
        self._spots.append((x, y, width, height, key))

    def at(self, x: float, y: float) -> tuple[Any, float, float] | None:
        """The key of the spot at a place and where in it (0..1 each), or None outside all spots."""
        for left, top, width, height, key in self._spots:
            if left <= x < left + width and top <= y < top + height:
                return key, (x - left) / width, (y - top) / height
        return None

    def svg(self, description: str = "") -> str:
        """The SVG, with `description` for those who do not see it."""
        return (
            '<svg xmlns="http://www.w3.org/2000/svg" '
            f'viewBox="{-MARGIN} {-MARGIN} {self.outer_width:g} {self.outer_height:g}" role="img" '
            f'aria-label="{html.escape(printable(description))}" font-family="{FAMILY}">'
            f"{''.join(self._svg)}</svg>"
        )

    def png(self) -> bytes:
        """The same as a PNG, SHARPNESS pixels to the CSS pixel."""
        return resvg_py.svg_to_bytes(
            svg_string=self.svg(),
            background="#ffffff",
            width=round(SHARPNESS * self.outer_width),
            font_dirs=[str(FONTS)],
            sans_serif_family="DejaVu Sans",
        )


def _places(points: Places) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
