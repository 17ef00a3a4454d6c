# Modelled on flask's blueprints: how a prefix and a rule are joined when either has the slash.
import pytest

from microweb.routing import Blueprint, NotFound, Router


@pytest.fixture
def shop():
    blueprint = Blueprint("shop", url_prefix="/shop")

    @blueprint.route("/")
    def index():
        return "index"

    @blueprint.route("/item/<int:number>")
    def item(number):
        return ("item", number)

    @blueprint.route("files/<path:name>")
    def files(name):
        return ("file", name)

    return blueprint


@pytest.mark.parametrize("prefix", [None, "/shop", "/shop/"])
def test_prefix_and_rule_meet_in_one_slash(shop, prefix):
    router = Router()
    router.register(shop, prefix)
    assert router.dispatch("/shop/") == "index"
    assert router.dispatch("/shop/item/12") == ("item", 12)
    assert router.dispatch("/shop/files/a/b.txt") == ("file", "a/b.txt")


def test_empty_prefix(shop):
    router = Router()
    router.register(shop, "")
    assert router.dispatch("/") == "index"
    assert router.dispatch("/item/7") == ("item", 7)


def test_nested_prefix(shop):
    router = Router()
    router.register(shop, "/api/v1/")
    assert router.dispatch("/api/v1/item/1") == ("item", 1)


def test_unknown_path():
    with pytest.raises(NotFound):
        Router().dispatch("/nowhere")


def test_rule_without_slash_is_refused():
    with pytest.raises(ValueError, match="must start with a slash"):
        Router().add("x", "x", print)
