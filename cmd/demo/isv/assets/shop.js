// What an ISV's front end does: ask who is operating, for the merchant of this page's own address, so that another tab's
// merchant is never acted on.
(function () {
  "use strict";

  const box = document.getElementById("browser");
  const asking = document.getElementById("asking");

  function show(identity) {
    for (const dd of box.querySelectorAll("[data-field]")) {
      const value = identity[dd.dataset.field] || "";
      dd.dataset.value = value;
      if (dd.dataset.field === "expires_at") {
        dd.textContent = local(value);
      } else {
        write(dd, value);
      }
    }
    const list = document.querySelector("#merchants ul");
    for (const partner of identity.partners) {
      const link = document.createElement("a");
      link.href = box.dataset.shop + "?partner_id=" + encodeURIComponent(partner.partner_id);
      link.textContent = partner.partner_id;
      if (partner.partner_id === identity.partner_id) {
        link.setAttribute("aria-current", "true");
      }
      const item = document.createElement("li");
      item.append(link);
      list.append(item);
    }
    document.getElementById("merchants").hidden = identity.partners.length < 2;
    asking.hidden = true;
    box.dataset.answered = "";
  }

  // Lines break between shops, not within one.
  function write(dd, list) {
    dd.replaceChildren();
    list.split(",").forEach(function (item, i) {
      if (i > 0) {
        dd.append(",", document.createElement("wbr"));
      }
      if (item) {
        dd.append(item);
      }
    });
  }

  // China's time, as the server writes it: it has no summer time.
  function local(text) {
    const at = new Date(Date.parse(text) + 8 * 60 * 60 * 1000);
    return at.toISOString().slice(0, 16).replace("T", " ") + " GMT+8";
  }

  fetch(box.dataset.session, { headers: { Accept: "application/json" } })
    .then(function (answer) {
      if (!answer.ok) {
        throw new Error(String(answer.status));
      }
      return answer.json();
    })
    .then(show)
    .catch(function (err) {
      asking.textContent = box.dataset.failed + " (" + err.message + ")";
    });
})();
