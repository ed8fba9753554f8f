// The page. Values are set as text, so that no input becomes markup.

const at = (id) => document.getElementById(id);
const door = at("door");

const fill = (template, product) => {
  const item = at(template).content.firstElementChild.cloneNode(true);
  item.querySelector("img").src = `/static/${product.id}.svg`;
  for (const button of item.querySelectorAll("button")) button.dataset.product = product.id;
  return item;
};

const line = ({ product, count }) => {
  // Existing items are updated, so that they keep their position and focus.
  const item = at("lines").querySelector(`li[data-id="${product.id}"]`) ?? fill("line", product);
  item.dataset.id = product.id;
  const [less, more] = item.querySelectorAll("button");
  item.querySelector("b").textContent = product.name;
  item.querySelector(".aside").textContent = `${count} × ${product.price}`;
  item.querySelector("output").textContent = count;
  less.setAttribute("aria-label", `One ${product.name} less`);
  more.setAttribute("aria-label", `One more ${product.name}`);
  return item;
};

const chip = (product) => {
  const item = fill("chip", product);
  item.querySelector("span").textContent = product.name;
  item.querySelector("button").setAttribute("aria-label", `Put ${product.name} into the cart`);
  return item;
};

/** Shows a cart. */
export const showCart = (cart) => {
  // Restore the focus if its button is replaced.
  const { product, change } = document.activeElement?.dataset ?? {};
  at("heading").textContent = `Your cart, ${cart.name}`;
  const lines = cart.lines.map(line);
  if (lines.some((item, place) => at("lines").children[place] !== item) || lines.length < at("lines").children.length) {
    at("lines").replaceChildren(...lines);
  }
  at("empty").hidden = cart.lines.length > 0;
  at("total").textContent = cart.total;
  if (!at("shelf").hasChildNodes()) at("shelf").append(...cart.shelf.map(chip));
  at("shop").hidden = false;
  if (product && document.activeElement === document.body) document.querySelector(`[data-product="${product}"][data-change="${change}"]`)?.focus();
};

export const showPerson = (user) => {
  at("looking").hidden = true;
  at("who").textContent = user.username ?? user.email ?? "somebody";
  for (const id of ["who", "leave", "again"]) at(id).hidden = false;
};

/** Shows the form: within an empty page, or as a dialog in front of existing content. */
export const askToSignIn = (why) => {
  for (const id of ["looking", "who", "leave", "again"]) at(id).hidden = true;
  at("door-why").textContent = why;
  if (!door.open) {
    if (at("shop").hidden) door.show();
    else door.showModal();
  }
  (at("loginId").value ? at("password") : at("loginId")).focus();
};

export const closeDoor = () => {
  at("trouble").hidden = true;
  at("sign-in").reset();
  door.close();
};

export const showTrouble = (text) => {
  const place = door.open ? at("trouble") : at("end");
  place.textContent = text;
  place.hidden = false;
  if (door.open) {
    at("password").value = "";
    at("password").focus();
  }
};

/** Removes the user's data after a sign-out. */
export const clear = () => {
  at("shop").hidden = true;
  for (const id of ["lines", "shelf", "who", "total"]) at(id).replaceChildren();
};

export const busy = (is) => at("sign-in").querySelector("button").toggleAttribute("disabled", is);
export const showEnd = (text) => (at("end").textContent = text);

/** Lists the last calls. */
export const noteCall = (method, path, status) => {
  const item = document.createElement("li");
  const [what, came] = ["code", "b"].map((tag) => document.createElement(tag));
  what.textContent = `${method} ${path}`;
  came.textContent = status;
  item.append(what, " ", came);
  at("calls").prepend(item);
  while (at("calls").children.length > 6) at("calls").lastElementChild.remove();
};

/** Registers the event handlers. */
export const listen = ({ onSignIn, onSignOut, onAgain, onChange }) => {
  at("sign-in").addEventListener("submit", (event) => {
    event.preventDefault();
    onSignIn(at("loginId").value, at("password").value);
  });
  // The form cannot be closed, because there is nothing to show without a sign-in.
  door.addEventListener("cancel", (event) => event.preventDefault());
  at("leave").addEventListener("click", onSignOut);
  at("again").addEventListener("click", onAgain);
  at("shop").addEventListener("click", (event) => {
    const button = event.target.closest("button[data-product]");
    if (button) onChange(button.dataset.product, button.dataset.change);
  });
};
