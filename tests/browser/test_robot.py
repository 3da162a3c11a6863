"""Reach it by mouse, finger and keyboard; Lift it moves when asked to. From a file, network cut."""

import re
from operator import ne

PAGE = "book/robot.html"


def open_figure(seen, name):
    """The figure that is called ``name``, in view, and its sentence."""
    figure = seen.open(PAGE).get_by_role("group", name=name)
    figure.scroll_into_view_if_needed()
    return figure, figure.get_by_role("status")


def says(status, words):
    status.get_by_text(words).wait_for(timeout=10_000)


def drag(seen, figure, dx, dy):
    """Take hold of the goal and carry it that many pixels."""
    figure.locator(".mf-drag").scroll_into_view_if_needed()
    box = figure.locator(".mf-drag .mf-hit").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    mouse = seen.page.mouse
    mouse.move(x, y)
    mouse.down()
    mouse.move(x + dx, y + dy, steps=6)
    mouse.up()


def goal_of(status):
    """The two coordinates that the sentence names."""
    found = re.match(r"Goal at (.*?), (.*?)[:,]", status.inner_text())
    return [float(part.replace("\u2212", "-")) for part in found.groups()]


def test_the_goal_is_dragged_and_the_walks_follow(visit):
    seen = visit("file")
    figure, status = open_figure(seen, "Reach it")
    says(status, "after updates 1 and 2")
    before, first = goal_of(status), figure.locator(".mf-walks").first.get_attribute("d")
    drag(seen, figure, 90, -60)
    assert seen.until(lambda: goal_of(status) != before)
    after = goal_of(status)
    assert after[0] > before[0] + 0.1 and after[1] > before[1] + 0.1
    says(status, "after updates 1 and 2")
    # Before adapting nobody knows the goal: those walks are as they were.
    assert figure.locator(".mf-walks").first.get_attribute("d") == first
    figure.get_by_role("button", name="Reset").click()
    assert seen.until(lambda: goal_of(status) == before)
    assert seen.troubles == []


def test_keys_move_the_goal(visit):
    seen = visit("file")
    figure, status = open_figure(seen, "Reach it")
    says(status, "after updates 1 and 2")
    before = goal_of(status)
    figure.get_by_role("slider", name="goal").focus()
    seen.page.keyboard.press("Shift+ArrowLeft")
    assert seen.until(lambda: goal_of(status) == [round(before[0] - 0.2, 2), before[1]])


def test_walks_find_the_goal_after_an_update(visit):
    seen = visit("file")
    figure, status = open_figure(seen, "Reach it")
    says(status, "after updates 1 and 2")
    text = status.inner_text().partition(":")[2].replace("\u2212", "-")
    before, after = re.search(r"(-\d+\.\d) before adapting, (-\d+\.\d), ", text).groups()
    assert float(after) > float(before) + 3
    said = status.inner_text()
    figure.get_by_role("button", name="Walk again").click()
    assert seen.until(lambda: status.inner_text() != said)
    assert goal_of(status) == [-0.3, -0.4]  # other walks to the same goal


def links(figure):
    return [path.get_attribute("d") for path in figure.locator(".mf-arm-links").all()]


def test_the_arm_moves_and_stops(visit):
    seen = visit("file")
    figure, status = open_figure(seen, "Lift it")
    seen.page.emulate_media(reduced_motion="no-preference")
    says(status, "with the torques of the true arm")
    parked = links(figure)
    figure.get_by_role("button", name="▶ Move").click()
    assert seen.until(lambda: all(map(ne, links(figure), parked)))
    figure.get_by_role("button", name="Pause").click()
    under_way = links(figure)
    seen.frames(30)
    assert links(figure) == under_way
    figure.get_by_role("button", name="Reset").click()
    for path, place in zip(figure.locator(".mf-arm-links").all(), parked, strict=True):
        seen.attribute(path, "d", place)  # the motion is made anew, in slices
    assert links(figure) == parked
    assert seen.troubles == []


def test_a_load_beyond_the_training_is_named(visit):
    seen = visit("file", width=360, has_touch=True)
    figure, status = open_figure(seen, "Lift it")
    says(status, "with the torques of the true arm")
    assert "Beyond training" not in status.inner_text()
    field = figure.get_by_label("payload, kg, as a number")
    field.fill("3.5")
    says(status, "Beyond training: payload (in training up to 2.0 kg).")
    marked = figure.locator(".mf-beyond", has_text="payload")
    marked.get_by_text("in training: up to 2.0 kg", exact=True).wait_for()
    field.fill("9")
    figure.get_by_text("Please give a number from 0 to 4.").wait_for()
