
(function () {
  "use strict";
  var list = document.getElementById("queries");
  if (!list) { return; }
  var items = Array.prototype.slice.call(list.querySelectorAll("details.transcript"));
  var state = document.getElementById("state"), cancelled = document.getElementById("cancelled");
  var plan = document.getElementById("plan"), shown = document.getElementById("shown");
  function show() {
    var count = 0;
    items.forEach(function (item) {
      var data = item.dataset;
      var fits = (state.value === "all" || (state.value === "wrong") === (data.verdict !== "right")) &&
        (!cancelled.checked || data.cancelled === "1") && (plan.value === "all" || plan.value === data.plan);
      item.hidden = !fits;
      count += fits ? 1 : 0;
    });
    shown.textContent = count + " of " + items.length + " shown";
  }
  [state, cancelled, plan].forEach(function (control) { control.addEventListener("change", show); });
  Array.prototype.forEach.call(document.querySelectorAll("button[data-plan]"), function (button) {
    button.addEventListener("click", function () {
      plan.value = button.dataset.plan;
      show();
      document.getElementById("transcripts").scrollIntoView();
    });
  });
  document.getElementById("filters").hidden = false;
  show();
})();
