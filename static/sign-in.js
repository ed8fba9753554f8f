// The pages work without this. With it: the #fragment of the return address survives, the password can be shown,
// and one form is sent once.
(() => {
  "use strict";
  for (const form of document.querySelectorAll("form[data-sign-in]")) {
    const password = form.querySelector("input[name=password]");
    const returnTo = form.querySelector("input[name=return_to]");
    const reveal = form.querySelector(".reveal");
    const submit = form.querySelector("button[type=submit]");
    // Nodes, not text: an address in it may run another way than the words around it.
    const label = [...submit.childNodes];
    let sent = false;

    const show = (shown) => {
      password.type = shown ? "text" : "password";
      reveal.textContent = shown ? reveal.dataset.hide : reveal.dataset.show;
      reveal.setAttribute("aria-label", shown ? reveal.dataset.hideLabel : reveal.dataset.showLabel);
    };
    if (reveal) {
      reveal.hidden = false;
      reveal.addEventListener("click", () => {
        show(password.type === "password");
        password.focus();
      });
    }

    form.addEventListener("submit", (event) => {
      if (sent) {
        event.preventDefault();
        return;
      }
      sent = true;
      // Browsers offer to save a password only from a field that hides it.
      if (reveal) show(false);
      if (returnTo && returnTo.value && location.hash && !returnTo.value.includes("#")) returnTo.value += location.hash;
      submit.textContent = submit.dataset.busy;
      submit.setAttribute("aria-disabled", "true");
    });

    // Coming back with the browser's button finds the page as it was left: make it usable again.
    window.addEventListener("pageshow", () => {
      sent = false;
      submit.replaceChildren(...label);
      submit.removeAttribute("aria-disabled");
    });
  }
})();
