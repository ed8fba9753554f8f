// The page works without this. With it: the #fragment of the return address survives, the password can be shown,
// and one sign-in is sent once.
(() => {
  "use strict";
  const form = document.querySelector("form[data-sign-in]");
  if (!form) return;
  const password = form.elements.namedItem("password");
  const returnTo = form.elements.namedItem("return_to");
  const reveal = form.querySelector(".reveal");
  const submit = form.querySelector("button[type=submit]");
  const label = submit.textContent;
  let sent = false;

  const show = (shown) => {
    password.type = shown ? "text" : "password";
    reveal.textContent = shown ? reveal.dataset.hide : reveal.dataset.show;
    reveal.setAttribute("aria-label", shown ? reveal.dataset.hideLabel : reveal.dataset.showLabel);
  };
  reveal.hidden = false;
  reveal.addEventListener("click", () => {
    show(password.type === "password");
    password.focus();
  });

  form.addEventListener("submit", (event) => {
    if (sent) {
      event.preventDefault();
      return;
    }
    sent = true;
    // Browsers offer to save a password only from a field that hides it.
    show(false);
    if (returnTo.value && location.hash && !returnTo.value.includes("#")) returnTo.value += location.hash;
    submit.textContent = submit.dataset.busy;
    submit.setAttribute("aria-disabled", "true");
  });

  // Coming back with the browser's button finds the page as it was left: make it usable again.
  window.addEventListener("pageshow", () => {
    sent = false;
    submit.textContent = label;
    submit.removeAttribute("aria-disabled");
  });
})();
