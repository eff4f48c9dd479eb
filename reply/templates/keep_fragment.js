
(function () {
  var fragment = location.hash.slice(1);
  var signIn = document.getElementById("sign-in").href;
  if (!fragment) {
    location.replace(signIn);
    return;
  }
  var mark = location.search ? "&" : "?";
  var kept = mark + "portcullis_fragment=" + encodeURIComponent(fragment);
  location.replace(location.origin + location.pathname + location.search + kept);
})();
