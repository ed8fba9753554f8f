// Optional enhancements: keeps the #fragment of the return address, can show the password, says when Caps
// Lock is on, and prevents that a form is sent twice.
(() => {
  "use strict";
  for (const form of document.querySelectorAll("form[data-sign-in], form[data-once]")) {
    // The fields of another form are the application's, whatever their names.
    const own = (selector) => (form.hasAttribute("data-sign-in") ? form.querySelector(selector) : null);
    const password = own("input[name=password]");
    const returnTo = own("input[name=return_to]");
    const reveal = own(".reveal");
    const submit = form.querySelector("button[type=submit]");
    // Nodes and not text: an address in it can have another writing direction than the text around it.
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

    // A status that appears with its text is not announced: the element is there, and gets the text.
    const capsLock = own("#caps-lock");
    const warn = (text) => {
      if (capsLock.textContent !== text) capsLock.textContent = text;
    };
    if (capsLock && password) {
      for (const name of ["keydown", "keyup"]) {
        password.addEventListener(name, (event) => {
          // Filling in a saved password sends events that say nothing of keys.
          if (!event.getModifierState) return;
          warn(event.getModifierState("CapsLock") ? capsLock.dataset.text : "");
        });
      }
      password.addEventListener("blur", () => warn(""));
    }

    form.addEventListener("submit", (event) => {
      if (sent) {
        event.preventDefault();
        return;
      }
      sent = true;
      // Browsers offer to save a password only from a password field.
      if (reveal) show(false);
      if (returnTo && returnTo.value && location.hash && !returnTo.value.includes("#")) returnTo.value += location.hash;
      submit.textContent = submit.dataset.busy;
      submit.setAttribute("aria-disabled", "true");
    });

    // The back button shows the page as it was left: enable the button again. A preserved form post may
    // have arrived, so it is not offered a second time.
    window.addEventListener("pageshow", () => {
      if (sent && form.dataset.sentText) {
        document.querySelector("h1").textContent = form.dataset.sentHeading;
        document.querySelector("#text").textContent = form.dataset.sentText;
        form.hidden = true;
        return;
      }
      sent = false;
      submit.replaceChildren(...label);
      submit.removeAttribute("aria-disabled");
    });
  }
})();
