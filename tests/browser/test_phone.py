"""Figures on a phone: what is to be moved by a finger is large enough for one."""

from looking import figures_of


def test_a_slider_is_as_wide_as_its_figure(opened, figure_page):
    """All but the border around it, and inside it; what moves by whole steps needs the room."""
    page = opened("file", figure_page, width=360).page
    for figure in figures_of(page):
        frame = figure.locator(".maml-figure").bounding_box()
        for slider in figure.locator("input[type=range]").all():
            if slider.is_visible():
                box = slider.bounding_box()
                assert box["width"] > frame["width"] - 70
                assert box["x"] + box["width"] <= frame["x"] + frame["width"] - 8
        for field in figure.locator("input[type=number]").all():
            if field.is_visible():
                box = field.bounding_box()
                assert box["x"] + box["width"] <= frame["x"] + frame["width"] - 8
